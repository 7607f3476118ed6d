"""Learning from trajectories before, or in place of, reinforcement: one network predicts what comes next, or what was hidden."""
