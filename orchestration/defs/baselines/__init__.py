"""What is normal, learnt from history."""
