"""Other people's ways to do the same work, each run as a process of its own by the same meter as bindery."""
