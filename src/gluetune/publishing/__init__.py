"""What leaves gluetune for others: the leaderboard's files."""
