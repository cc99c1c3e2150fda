"""The rules of a shared HTTP cache, as pure functions: RFC 9110, 9111, 5861, 9211 and 9213.

Nothing here reads a clock, a socket or a store: what a rule needs is an argument. An engine
that has those calls them in this order:

1. :func:`decide(request, variants, now, policy) <cacheapi.responses.deciding.decide>` with
   every stored variant of the URL says one of a closed set, ``Decision``:

   ===============  ==================================================================
   ``Hit``          serve ``hit.stored`` by ``serve``; ``hit.refresh``: it is stale, and
                    to be fetched in the background by ``hit.refresh_fields``
   ``Revalidate``   send the request with ``forward(request, decision)``'s fields; on a 304,
                    ``update`` what is stored and ``serve`` it
   ``Miss``         send the request with ``forward(request, decision)``'s fields
   ``Pass``         the same, and never store the response
   ``Unavailable``  504: the client wants stored responses only
   ===============  ==================================================================

2. :func:`forward(request, decision) <cacheapi.responses.forwarding.forward>` gives the
   fields to send to the origin, hop-by-hop ones removed, preconditions as they must be.
3. :func:`may_store(request, response, policy, now) <cacheapi.responses.storing.may_store>`
   gives ``None``, or the reason why not; :func:`keep(request, response, request_time,
   response_time, length, policy) <cacheapi.responses.storing.keep>` makes the ``Stored``,
   and :func:`seconds_to_keep(stored, now) <cacheapi.responses.storing.seconds_to_keep>`
   says how long a store has any use for it. :func:`add_variant(variants, stored)
   <cacheapi.responses.vary.add_variant>` puts it among the others.
4. :func:`update(stored, response, request, request_time, response_time, policy)
   <cacheapi.responses.updating.update>` after a 304.
5. :func:`on_error(decision, now, status) <cacheapi.responses.deciding.on_error>` gives the
   ``Hit`` to serve where the origin failed, or ``None``.
6. :func:`serve(request, hit, status) <cacheapi.responses.serving.serve>` gives a ``Reply``:
   status, fields, and which bytes of the body (200, 206, 304, 412, 416; HEAD).
   :func:`pass_on(response, status) <cacheapi.responses.serving.pass_on>` gives the fields
   of a response that comes straight from the origin.
7. :func:`invalidates(request, response) <cacheapi.responses.invalidation.invalidates>`
   gives the URLs that a write has made invalid.
"""
