"""The face inside a Bento: loads one model version and answers requests about it over HTTP.

    model      one model version, ready to answer
    answer     a request's bytes → an answer's bytes; knows no server
    serving    which models answer, and how requests are shared out: live, canary, shadow
    guard      who may ask, and how often
    http       the ASGI application: limits, bodies, headers, metrics
    bento      the application as BentoML runs it

What a client sends can never cause a 500, and no answer tells a path of this machine.
"""
