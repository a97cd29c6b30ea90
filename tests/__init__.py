"""The tests, in the folders of what they test; beside them what several share."""
