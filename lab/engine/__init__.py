"""The container engine the lab runs in: one that is there already, or the lab's own."""
