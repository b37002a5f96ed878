"""Training: from a run document to a run folder, interruptible at any step and resumed exactly."""
