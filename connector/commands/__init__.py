"""What the commands do and print; beside ``cli`` the only room that speaks to people."""
