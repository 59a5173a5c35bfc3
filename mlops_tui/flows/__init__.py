"""The application: every verb of the product, one function each."""
