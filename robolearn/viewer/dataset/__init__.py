"""The page on which people look at datasets: episodes, their robots in motion, and what was recorded of them."""
