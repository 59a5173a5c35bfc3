"""Read-only views that the screens show: nothing here changes anything."""
