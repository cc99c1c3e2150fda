"""Answers of an HTTP API: the rules of a shared cache, and the engine that follows them.

The rules (RFC 9110, 9111, 5861, 9211 and 9213) are pure functions: they read no clock, no
socket and no store; what one needs is an argument. ``engine.Engine``, which has those, calls
them in this order:

1. ``deciding.decide(request, variants, now)``, with every stored variant of the URL, says one
   of a closed set:

   ===============  ==================================================================
   ``Hit``          ``serve`` what is stored. With ``refresh`` it is stale, and to be fetched
                    in the background as ``refresh_decision(hit)`` says
   ``Revalidate``   ask the origin; on a 304 ``update`` what is stored, and ``serve`` that
   ``Complete``     ask the origin for the rest; on a 206 ``keep`` that and ``combine`` both
   ``Miss``         ask the origin
   ``Pass``         ask the origin, and store nothing (but see ``may_store`` for a POST)
   ``Unavailable``  answer 504: the client wants stored responses only
   ===============  ==================================================================

2. ``forwarding.forward(request, decision.add)`` gives the fields of the request to the origin
   (for a ``Pass``: ``forward(request)``).
3. The origin failed, or answered one of ``deciding.ERROR_STATUSES``:
   ``deciding.on_error(request, decision, now)`` gives the ``Hit`` to serve instead, or ``None``.
4. It answered: ``storing.may_store(request, response, policy, now)`` gives ``None`` or the
   reason why not; ``storing.keep(request, response, request_time, response_time, length,
   policy)`` makes the ``Stored``, ``vary.add_variant(variants, stored)`` puts it among the
   others, ``freshness.seconds_to_keep(stored, now)`` says how long a store has use for it.
   ``updating`` has what a 304, a 206 and the answer to a ``HEAD`` do to what is stored.
5. ``serving.serve(request, stored, age, cache_status)`` gives a ``Reply``: 200, 206, 304, 416,
   fields, and which bytes of the stored body. ``serving.pass_on(response, cache_status)`` is
   for a response that comes straight from the origin. ``cache_status`` writes the member.
6. ``invalidation.invalidates(request, response)`` gives the URLs that a write makes invalid;
   it comes before a POST's response is stored.
7. ``freshness.expire(stored, moment)`` makes a response stale (a soft purge).
"""
