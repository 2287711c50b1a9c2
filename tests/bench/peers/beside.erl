%% Work that the peers' own modules do not have: the same as our rows do, in Erlang.
-module(beside).
-export([mayflies/2, good/2, good/3]).

%% N processes that end as soon as they begin, At of them at a time, each monitored.
mayflies(N, At) ->
    [spawn_monitor(fun() -> ok end) || _ <- lists:seq(1, At)],
    more_mayflies(N - At, At),
    N.

more_mayflies(_, 0) -> ok;
more_mayflies(0, Waiting) ->
    receive {'DOWN', _, _, _, _} -> more_mayflies(0, Waiting - 1) end;
more_mayflies(N, Waiting) ->
    receive {'DOWN', _, _, _, _} -> ok end,
    spawn_monitor(fun() -> ok end),
    more_mayflies(N - 1, Waiting).

%% A thousand that answer, asked at random, At at a time: microseconds that all but a hundredth of the answers took. With
%% Runaways beside that never end.
good(N, At) -> good(N, At, 0).

good(N, At, Runaways) ->
    Good = list_to_tuple([spawn(fun echo/0) || _ <- lists:seq(1, 1000)]),
    Bad = [spawn(fun for_ever/0) || _ <- lists:seq(1, Runaways)],
    [ask(Good) || _ <- lists:seq(1, At)],
    Took = asked(Good, N - At, At, []),
    [exit(P, kill) || P <- Bad ++ tuple_to_list(Good)],
    Sorted = list_to_tuple(lists:sort(Took)),
    [anchor_lib:quantile(Sorted, P) / 1000 || P <- [0.99, 0.5]].

ask(Good) -> element(rand:uniform(1000), Good) ! {self(), erlang:monotonic_time(nanosecond)}.

asked(_, _, 0, Took) -> Took;
asked(Good, Left, Waiting, Took) ->
    receive {answer, T} ->
        Now = erlang:monotonic_time(nanosecond),
        case Left of
            0 -> asked(Good, 0, Waiting - 1, [Now - T | Took]);
            _ -> ask(Good), asked(Good, Left - 1, Waiting, [Now - T | Took])
        end
    end.

echo() -> receive {From, T} -> From ! {answer, T}, echo() end.

for_ever() -> for_ever().
