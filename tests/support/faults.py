"""The table of faults in ``docs/faults.md``: promises, and the tests that make faults happen.

``python -m tests.support.faults`` prints the page.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.support.processes import REPOSITORY

FILE = "backends/file/test_backend.py"
MEMCACHED = "backends/memcached/test_backend.py"
REPLIES = "backends/memcached/test_replies.py"
STORES = "backends/memcached/test_stores.py"
POOL = "backends/memcached/test_pool.py"
ANSWERS = "backends/memcached/test_answers.py"
ENCODED = "backends/memcached/test_encoded.py"
WITHOUT_CAS = "backends/memcached/test_without_cas.py"
IDLE = "backends/memcached/test_idle.py"
LIFETIMES = "backends/memcached/test_lifetimes.py"
NAMES = "backends/test_names.py"
NAMES_LIVE = "http/live/test_names.py"
POOL_LIVE = "backends/memcached/test_pool_live.py"
REDIS = "backends/redis/test_faults.py"
REFUSALS = "backends/redis/test_refusals.py"
FAILOVER = "backends/redis/test_failover.py"
HTTP = "http/live/test_faults.py"
BODIES = "http/live/test_bodies.py"
LOAD = "http/live/test_load.py"
LANE = "http/lane/test_faults.py"
SLOW = "http/live/test_http.py"
HEALTH = "http/observing/test_health.py"
REDIS_HTTP = "http/live/test_redis.py"
RESHARD = "backends/redis/test_reshard.py"
APART = "backends/redis/test_apart.py"
REPLACED = "backends/redis/test_replaced.py"
TYPES = "backends/redis/test_types.py"
STRANGERS = "backends/redis/test_strangers.py"

HEAD = """\
# Faults

What goes wrong in a real fleet, what is promised then, and the tests that make it happen with real
servers: killed, stopped, filled, or behind a proxy that cuts, delays and garbles. A test's name
says what it finds.

| Fault | How it is made | Promise | Tests |
|---|---|---|---|
"""


class Fault(NamedTuple):
    """A row. ``tests`` are ``file::name`` under ``tests/``; without any, ``why`` says why not."""

    name: str
    how: str
    promise: str
    tests: tuple[str, ...]
    why: str = ""


def named(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{file}::test_{name}" for name in names)


FAULTS = (
    Fault(
        "1 of 3 memcached is killed",
        "kill -9",
        "no failed get or set; its keys are misses and go to the others; one count may fail",
        (
            *named(
                POOL,
                "a_server_that_fails_costs_its_share_of_misses_and_no_failed_call",
                "only_the_keys_of_the_server_that_fails_are_misses",
                "a_count_fails_at_most_once_and_then_counts_elsewhere",
                "under_load_a_server_that_is_killed_stopped_and_back_costs_no_call_and_no_wrong_value",
            ),
            *named(
                STORES,
                "a_member_that_fails_in_the_middle_of_a_batch_fails_none_of_it",
                "a_dead_members_values_go_to_the_others",
            ),
            *named(POOL_LIVE, "one_of_three_servers_costs_misses_and_no_failed_request"),
        ),
    ),
    Fault(
        "… hangs",
        "SIGSTOP",
        "the same; the first call takes 600 ms at most, the others know at once",
        named(
            POOL,
            "a_server_that_fails_costs_its_share_of_misses_and_no_failed_call",
            "all_threads_know_at_once_that_a_server_hangs",
        ),
    ),
    Fault(
        "… comes back",
        "SIGCONT, restart",
        "in use again within 7 s; what was written elsewhere meanwhile is stale on it",
        named(
            POOL,
            "a_server_that_returns_serves_again_with_what_it_then_has",
            "what_was_written_elsewhere_meanwhile_is_stale_at_the_next_failure",
        ),
    ),
    Fault(
        "the only memcached is dead",
        "kill -9",
        "500 with `Retry-After`, never 404; back within 3 s of the server",
        (
            *named(MEMCACHED, "a_dead_server_is_an_error_and_its_return_is_noticed_at_once"),
            *named(STORES, "of_a_batch_to_a_dead_server_one_says_why_and_nothing_is_unknown"),
            *named(
                HTTP,
                "a_dead_server_is_an_error_for_every_operation",
                "a_server_that_returns_is_used_within_three_seconds",
            ),
        ),
    ),
    Fault(
        "a reply is cut, reset, halved, garbled",
        "proxy",
        "never a wrong value, never a false 404",
        (
            *named(MEMCACHED, "a_spoiled_reply_is_never_a_wrong_value_or_a_false_miss"),
            *named(
                REPLIES,
                "a_reply_that_ends_early_at_any_byte_is_an_error",
                "a_batch_that_ends_early_is_an_error_and_never_a_part",
                "no_read_takes_a_broken_reply_for_an_answer",
            ),
            *named(
                STORES,
                "replies_that_end_early_tell_what_is_known",
                "a_batch_whose_replies_are_lost_once_is_stored",
                "a_store_is_said_to_be_done_only_if_its_own_line_said_so",
            ),
            *named(
                REDIS,
                "a_reply_that_ends_early_at_any_byte_is_an_error",
                "a_batch_that_ends_early_is_an_error_and_never_a_part",
                "no_broken_reply_is_taken_for_an_answer",
            ),
        ),
    ),
    Fault(
        "a reply is later than the time limit",
        "proxy that delays",
        "bounded waiting; a late reply is nobody else's answer",
        (
            *named(
                MEMCACHED,
                "a_reply_later_than_the_limit_is_a_timeout_and_not_the_answer_to_the_next",
            ),
            *named(REPLIES, "late_replies_reach_nobody"),
            *named(STORES, "slow_replies_are_waited_for_and_late_ones_reach_nobody"),
            *named(REDIS, "late_replies_reach_nobody"),
        ),
    ),
    Fault(
        "memcached is at its connection limit",
        "`-c` and held sockets",
        "500, not 404; in a pool it is left out",
        (
            *named(MEMCACHED, "a_server_at_its_connection_limit_is_an_error_and_no_miss"),
            *named(POOL, "a_server_at_its_connection_limit_is_left_out"),
            *named(STORES, "at_the_connection_limit_a_batch_fails_and_was_not_made"),
        ),
    ),
    Fault(
        "a value is over memcached's item limit",
        "`-I 1m`",
        "500 `SERVER_ERROR`, saying that the old value may be gone",
        (
            *named(
                MEMCACHED,
                "a_value_over_the_item_limit_is_refused_and_says_what_became_of_the_old",
            ),
            *named(STORES, "a_batch_of_many_megabytes_is_stored_each_its_own_outcome"),
            *named(HTTP, "a_value_over_the_item_limit_is_a_server_error_and_never_half_stored"),
        ),
    ),
    Fault(
        "memcached is full and may not evict",
        "`-M -m 2`",
        "writes are 500, reads go on",
        (
            *named(MEMCACHED, "a_full_server_refuses_stores_and_goes_on_reading"),
            *named(STORES, "a_full_server_refuses_some_of_a_batch_and_goes_on_with_the_rest"),
            *named(HTTP, "a_full_server_refuses_writes_and_goes_on_reading"),
        ),
    ),
    Fault(
        "memcached is full and says so, also of a value over 512 kB, or says what nobody knows",
        "`-M`, `SERVER_ERROR …`",
        "500 with the server's words; no pool leaves it out, its keys stay",
        named(
            ANSWERS,
            "a_full_server_says_so_of_every_write",
            "a_full_server_is_left_out_of_no_pool",
            "an_answer_that_is_known_to_nobody_is_told_and_leaves_no_server_out",
        ),
    ),
    Fault(
        "memcached runs without CAS",
        "`-C`",
        "400 that names `-C`, flags off; what is stored after the answer to a flush stays",
        named(
            WITHOUT_CAS,
            "the_error_names_the_option_before_anything_was_learned",
            "the_first_look_takes_the_flags_away",
            "what_is_stored_after_a_flush_is_there",
            "of_a_pool_one_server_is_enough",
        ),
    ),
    Fault(
        "memcached wants another login or TLS, or is no memcached",
        "`-Y`, `-Z`, `-S`, Redis or HTTP on its port",
        "the cause in words, the same everywhere",
        named(
            ANSWERS,
            "a_text_login_that_is_wanted_is_named",
            "tls_that_is_wanted_is_named",
            "a_login_that_is_wanted_is_named",
            "a_server_that_takes_no_login_is_told_apart_from_a_wrong_password",
            "redis_on_the_port_of_memcached_is_named",
            "a_web_server_on_the_port_of_memcached_is_named",
        ),
    ),
    Fault(
        "memcached's clock ticks right after a store, or skips a second (it does, about every "
        "five to twenty minutes)",
        "`ttl: 1` at all times of a second",
        "there for a whole second, at most two longer",
        named(
            LIFETIMES,
            "a_second_is_never_shorter_than_a_second",
            "it_stays_at_most_two_seconds_longer",
            "a_lock_that_is_made_for_a_second_is_made_once_in_it",
        ),
    ),
    Fault(
        "a name server does not answer, or all addresses of a name are dead",
        "mount namespace with a silent name server, listeners with full queues",
        "500 within the time limit, for that service alone; no worker is stopped",
        (
            *named(
                NAMES_LIVE,
                "a_read_fails_within_its_limit",
                "the_worker_and_all_else_go_on_meanwhile",
            ),
            *named(
                NAMES,
                "dead_addresses_share_one_limit",
                "a_name_that_was_known_is_served_while_the_name_server_is_silent",
            ),
        ),
    ),
    Fault(
        "connections to memcached are silently dropped while idle",
        "forwarder that forgets them",
        "asked on a fresh one within the time limit; others as old are thrown away",
        named(
            IDLE,
            "what_finds_a_silent_connection_is_asked_on_a_fresh_one_within_the_limit",
            "one_call_pays_for_all_that_were_idle_as_long",
        ),
    ),
    Fault(
        "memcached closes idle connections",
        "`-o idle_timeout=1`",
        "not noticed",
        (
            *named(MEMCACHED, "a_connection_that_the_server_closed_for_idleness_is_not_noticed"),
            *named(STORES, "an_idle_connection_that_the_server_closed_fails_no_store"),
        ),
    ),
    Fault(
        "a key has a line end or a space",
        "request",
        "a key and no command; 400 if it is too long for that; the next request is fine",
        (
            *named(
                HTTP,
                "a_key_with_a_line_end_or_a_space_is_a_key_and_no_command",
                "a_key_that_memcached_cannot_carry_is_refused_and_the_next_request_is_fine",
            ),
            *named(ENCODED, "a_server_that_does_not_know_how_is_sent_no_value"),
        ),
    ),
    Fault(
        "a count on what is no number",
        "ASCII and SASL",
        "400; nothing changes, no server is left out",
        (
            *named(MEMCACHED, "a_count_on_what_is_no_number_changes_nothing"),
            *named(POOL, "a_refusal_leaves_no_server_out"),
        ),
    ),
    Fault(
        "memcached's password is wrong or missing, or the SASL plugin",
        "wrong settings",
        "500 that names the cause, never 404",
        (
            *named(
                MEMCACHED,
                "a_wrong_password_is_an_error_and_no_miss",
                "no_password_where_one_is_wanted_is_an_error_and_no_miss",
                "a_missing_plugin_is_told_apart_from_a_wrong_password",
            ),
            *named(HTTP, "a_wrong_password_is_an_error_that_does_not_repeat_it"),
        ),
    ),
    Fault(
        "somebody planted a pickle or a zip bomb",
        "raw set with flags 1 and 8",
        "they are bytes; nothing is run, memory stays bounded",
        named(
            MEMCACHED,
            "a_planted_pickle_is_bytes_and_nothing_is_run",
            "a_zip_bomb_stays_packed",
        ),
    ),
    Fault(
        "Redis is down",
        "kill -9",
        "500 in under 1 s; its return is noticed at once",
        named(
            REDIS,
            "a_dead_server_is_an_error_and_its_return_is_noticed_at_once",
            "a_restart_costs_values_but_no_failed_call",
        ),
    ),
    Fault(
        "Redis hangs",
        "SIGSTOP",
        "500 in under 1 s, right when it goes on",
        named(REDIS, "a_hung_server_is_a_timeout_within_a_second_and_right_when_it_goes_on"),
    ),
    Fault(
        "the reply to a count is lost",
        "proxy that swallows it",
        "counted once; 500 that says that the outcome is unknown",
        (
            *named(MEMCACHED, "a_count_whose_reply_is_lost_is_made_once_and_said_to_be_unknown"),
            *named(REDIS, "a_write_whose_reply_is_lost_is_made_once_and_said_to_be_unknown"),
        ),
    ),
    Fault(
        "Redis is loading, busy, cannot save, lacks replicas or its master",
        "LOADING, BUSY, MISCONF, NOREPLICAS, MASTERDOWN",
        "500 with `Retry-After`; reads go on where Redis reads",
        named(
            REFUSALS,
            "a_server_that_loads_its_data_is_unavailable_and_then_right",
            "a_server_that_is_busy_with_a_script_is_unavailable_and_then_right",
            "a_server_that_cannot_save_takes_no_writes_and_is_read",
            "a_server_with_too_few_replicas_takes_no_writes_and_is_read",
            "a_replica_that_has_lost_its_master_is_unavailable",
        ),
    ),
    Fault(
        "Redis is full, or a read-only replica",
        "maxmemory 1mb, REPLICAOF",
        "writes are 500, reads go on",
        named(
            REFUSALS,
            "a_full_server_refuses_what_takes_room_and_goes_on_reading",
            "a_replica_takes_no_writes_and_is_read",
        ),
    ),
    Fault(
        "Redis refuses the user",
        "NOAUTH, WRONGPASS, NOPERM",
        "500 that names the cause, tried once",
        named(
            REFUSALS,
            "a_refused_login_names_the_cause_and_is_tried_once",
            "each_right_is_needed_and_its_lack_is_named",
        ),
    ),
    Fault(
        "Redis has its most clients",
        "maxclients and held sockets",
        "500 within 300 ms, never 404",
        named(REFUSALS, "a_server_at_its_most_clients_is_an_error_within_bounds_and_no_miss"),
    ),
    Fault(
        "the service's own pool of connections is empty",
        "-",
        "-",
        (),
        "cannot happen: a connection is made for every thread that needs one, so there are never "
        "more than a worker's threads",
    ),
    Fault(
        "Sentinel or a cluster promotes a replica",
        "kill -9 and SIGSTOP of a master under load",
        "500 for 5 s at most, then right again; no wrong value",
        named(
            FAILOVER,
            "sentinel_promotes_a_replica_in_mid_load",
            "a_cluster_promotes_a_replica_in_mid_load",
            "a_sentinel_that_is_down_or_hangs_is_passed_over",
        ),
    ),
    Fault(
        "a cluster moves slots",
        "MIGRATE under load",
        "nothing fails",
        named(
            FAILOVER,
            "slots_that_move_in_mid_load_fail_nothing",
            "a_slot_that_is_half_moved_is_read_and_written_on_both_nodes",
        ),
    ),
    Fault(
        "slots moved to another master, or a replica took over, and no key was asked for since",
        "reshard to a new master, kill -9",
        "lists, exports, flushes and statistics cover today's masters; a flush follows what moves",
        named(
            RESHARD,
            "what_moved_to_a_new_master_is_listed_and_counted",
            "what_moved_to_a_new_master_is_flushed",
            "a_flush_goes_on_to_where_keys_went_meanwhile",
            "a_flush_of_a_cluster_with_a_slot_in_two_halves_leaves_nothing",
            "after_a_failover_that_nobody_met_the_new_master_is_asked",
        ),
    ),
    Fault(
        "one shard of a cluster is gone, without a replica",
        "kill -9, SIGSTOP",
        "the keys of the others as before; `/health/ready` names the shard",
        named(
            APART,
            "a_node_that_is_gone_fails_its_own_keys_alone",
            "a_node_that_is_back_is_asked_again_soon",
        ),
    ),
    Fault(
        "one key that the Redis user may not read, among many",
        "ACL",
        "its own request is a 500, nobody else's",
        named(
            APART,
            "a_key_that_may_not_be_read_is_that_keys_failure_alone",
            "who_reads_other_keys_does_not_notice_one_that_is_refused",
        ),
    ),
    Fault(
        "a Redis primary behind one name or balancer fails over",
        "TCP forwarder, REPLICAOF, a long LOADING",
        "writes and reads at the new one within seconds; counts are made once",
        named(
            REPLACED,
            "writes_go_on_at_the_new_primary_and_counts_are_made_once",
            "who_only_reads_hears_of_the_new_primary_too",
            "a_primary_that_loads_for_long_is_left_for_the_one_that_took_over",
            "a_replica_that_lost_its_master_is_left_for_the_new_primary",
        ),
    ),
    Fault(
        "idle connections to Redis are dropped in silence",
        "proxy that forgets them",
        "nothing fails within the time limit; the other idle ones are thrown away",
        named(
            REPLACED, "idle_connections_that_were_dropped_in_silence_fail_nothing_and_go_at_once"
        ),
    ),
    Fault(
        "another program's type under a key of Redis",
        "HSET, RPUSH, SADD, ZADD, XADD",
        "409 that names it, nothing changed",
        (
            *named(TYPES, "every_verb_says_what_is_there_and_changes_nothing"),
            *named(REDIS_HTTP, "what_another_program_stored_is_409_for_every_verb_and_stays"),
        ),
    ),
    Fault(
        "something else answers on Redis's port, or a node of a cluster",
        "memcached, HTTP, TLS, a cluster's node",
        "an error that names it; never half a list or half a flush",
        named(
            STRANGERS,
            "a_node_of_a_cluster_is_not_listed_or_flushed_as_if_it_were_all",
            "a_plain_server_says_that_it_is_no_cluster",
            "memcached_on_the_port_is_named",
            "a_server_that_wants_tls_is_not_one_that_takes_no_connections",
        ),
    ),
    Fault(
        "the disk is full",
        "tmpfs of 3 MB",
        "writes are 500, reads go on",
        named(
            FILE,
            "reads_go_on_when_the_disk_is_full",
            "a_backend_that_starts_on_a_full_disk_reads",
        ),
    ),
    Fault(
        "the cache file is damaged",
        "pages and header overwritten",
        "moved aside with a line in the log, a new one; never a wrong value",
        (
            *named(
                FILE,
                "a_damaged_file_is_moved_aside",
                "damage_under_an_open_backend_gives_no_wrong_value",
                "processes_on_a_damaged_file_go_on_with_the_same_new_one",
            ),
            *named(HTTP, "a_damaged_file_is_moved_aside_once_and_the_service_starts_empty"),
        ),
    ),
    Fault(
        "the cache file is locked",
        "BEGIN IMMEDIATE elsewhere",
        "reads go on, writes are 500 at the time limit",
        (
            *named(FILE, "reads_go_on_while_the_file_is_locked_and_writes_time_out"),
            *named(HTTP, "a_locked_file_is_read_and_writing_is_an_error"),
        ),
    ),
    Fault(
        "a writer of the cache file is killed",
        "kill -9",
        "nothing acknowledged is lost, no lock is left",
        named(FILE, "nothing_acknowledged_is_lost_when_a_writer_is_killed"),
    ),
    Fault(
        "a body is cut short or badly framed",
        "raw socket",
        "400 or 413, nothing is stored",
        named(
            BODIES,
            "a_body_shorter_than_announced_is_refused_and_not_stored",
            "a_truncated_chunked_body_is_refused_and_not_stored",
            "a_badly_framed_chunk_is_refused_and_not_stored",
            "a_chunked_body_over_the_limit_is_413",
        ),
    ),
    Fault(
        "a cache is away, hung, full, at its most clients, or refuses the password",
        "kill -9, SIGSTOP, `-M`, maxmemory, `-c`, maxclients, wrong settings",
        "`/health/ready` is 503 and says which and why, `/health/live` 200; 200 once it is well",
        named(
            HEALTH,
            "a_server_that_is_away_makes_it_unready_until_it_is_back",
            "a_full_memcached_that_may_not_evict_is_unready",
            "a_full_redis_that_may_not_evict_is_unready",
            "a_memcached_at_its_most_connections_is_unready",
            "a_redis_at_its_most_clients_is_unready",
            "a_wrong_password_of_memcached_is_unready",
            "a_wrong_password_of_redis_is_unready_until_it_is_right",
            "probes_are_answered_while_a_cache_that_hangs_holds_all_threads",
        ),
    ),
    Fault(
        "clients send slow heads or slow bodies, or do not read",
        "stalled connections",
        "others are served; the slow are told 408 or closed",
        named(
            SLOW,
            "slow_requests_hold_up_nobody_and_end_at_a_limit",
            "clients_that_do_not_read_hold_up_nobody_and_are_let_go",
            "ten_thousand_idle_connections_hold_up_nobody",
        ),
    ),
    Fault(
        "a worker is killed, told to end, told to reload",
        "kill -9, TERM, HUP",
        "replaced within 1 s; what is in flight completes",
        named(
            LOAD,
            "killed_workers_are_replaced_and_lose_nothing_acknowledged",
            "a_terminated_service_loses_nothing_acknowledged",
            "reloads_under_load_fail_no_request_and_change_the_workers",
            "a_request_in_flight_completes_after",
        ),
    ),
)


def page() -> str:
    """Return the text of ``docs/faults.md``."""
    return HEAD + "".join(
        f"| {fault.name} | {fault.how} | {fault.promise} | {_cell(fault)} |\n" for fault in FAULTS
    )


def missing() -> list[str]:
    """Return the tests of the table that there are not."""
    return [test for fault in FAULTS for test in fault.tests if not _exists(test)]


def _exists(test: str) -> bool:
    file, name = test.split("::")
    path = REPOSITORY / "tests" / file
    return (
        path.exists() and re.search(rf"^def {name}\(", path.read_text(), re.MULTILINE) is not None
    )


def _cell(fault: Fault) -> str:
    return "<br>".join(map(_link, fault.tests)) if fault.tests else fault.why


def _link(test: str) -> str:
    file, name = test.split("::")
    words = name.removeprefix("test_").replace("_", " ")
    return f"[{words}](../tests/{file})"


if __name__ == "__main__":
    print(page(), end="")
