"""What people look at: run reports and answer pages."""
