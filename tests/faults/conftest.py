"""Scripts that the tests start as processes of their own are no tests."""

collect_ignore = ["attempts.py", "pairs.py"]
