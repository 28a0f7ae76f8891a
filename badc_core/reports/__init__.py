"""What people read: databases, CSVs and pages about one recording and about a whole dataset."""
