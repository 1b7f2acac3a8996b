"""Where bytes come from: followed files, archives, captures; each with positions from which it can go on."""
