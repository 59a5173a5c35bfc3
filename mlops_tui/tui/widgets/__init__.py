"""What screens are made of; none of them knows a flow."""
