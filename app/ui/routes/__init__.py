"""The REST routes, a file for each kind of thing; ``app.ui.guard`` has checked session, sender and size before."""
