"""What must hold when processes are killed, databases stop and disks are slow: shown on real ones."""
