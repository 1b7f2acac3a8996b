"""What people did, from what was seen: findings are folded into sessions, and sessions into alerts."""
