"""What leaves gluetune for others: the leaderboard's files, and models on the Hub."""
