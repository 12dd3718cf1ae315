"""What a federation across hospitals needs before its first run: keys, scripts, instructions."""
