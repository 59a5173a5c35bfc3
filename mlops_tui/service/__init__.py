"""The face inside a Bento: loads one model version and answers requests about it over HTTP.

    model      one model version, ready to answer
    answer     a request's bytes → an answer's bytes; knows no server
    one_row    the same for the usual request, prepared once for a model
    roles      which models answer, and how requests are shared out: live, canary, shadow
    shadow     a challenger that scores what was asked, and answers nobody
    guard      who may ask, and how often
    waiting    bodies, read within bounds of size and time
    pages      what a GET is told
    http       the ASGI application: limits, headers, counters, the spool
    wire       an answer in one write, straight between the network and the application
    bento      the application as BentoML runs it

What a client sends can never cause a 500, and no answer tells a path of this machine.
"""
