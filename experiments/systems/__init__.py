"""Systems that were published with a headline each, made smaller and faster than it."""
