"""Starting commands, above all our own, as users start them: in pipes and in terminals."""
