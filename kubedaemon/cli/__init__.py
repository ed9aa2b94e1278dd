"""The command line, a file a verb or family of verbs. Heavy imports happen inside the verbs: help is instant."""
