"""Schedules by kind of stage, and what they share."""
