"""The page for looking at datasets: episodes, their robots in motion, and the recorded quantities."""
