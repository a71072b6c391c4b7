"""Files of repositories: look at one, change it on a temporary branch of its own, propose the change.

A place is one repository (Bitbucket Cloud, Bitbucket Data Center, or a local one); a change is one temporary
branch with the drafts of its files, until it is committed, proposed, merged or given up.
"""
