"""The life of a task: its statuses, its stored form, and every read and write of it."""
