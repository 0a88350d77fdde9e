"""What a sensitivity is worth to a search: searches replayed on a record of trained specs."""
