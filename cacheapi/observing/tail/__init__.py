"""What is asked of the service now, and what took longest: for a person who watches.

Nobody watches nearly always, and then a request costs one look at an attribute. While somebody
does, each process writes some of its requests to files that all of them share, from a thread: a
watcher reads those, at whatever pace, and nobody waits for a watcher.
"""
