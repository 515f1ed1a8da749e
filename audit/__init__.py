"""The auditor: folds the log again and compares it with everything that was made from it. It changes nothing."""
