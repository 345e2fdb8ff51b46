"""What scripts/tidy.py is made of: source model, layer table, bans, sizes, header checks."""
