%% Many clusters at once: work that Ra's own benchmark does not have.
-module(beside_ra).
-export([to_many/3]).

%% Commands a second of so many waiting clients, each command to any of the groups.
to_many(Groups, Clients, Secs) ->
    Me = self(),
    Until = erlang:monotonic_time(nanosecond) + Secs * 1000000000,
    Names = list_to_tuple([list_to_atom("g" ++ integer_to_list(I)) || I <- lists:seq(1, Groups)]),
    T0 = erlang:monotonic_time(nanosecond),
    [spawn_link(fun() -> Me ! {done, client(Names, Groups, Until, 0)} end) || _ <- lists:seq(1, Clients)],
    N = lists:sum([receive {done, Many} -> Many end || _ <- lists:seq(1, Clients)]),
    N * 1.0e9 / (erlang:monotonic_time(nanosecond) - T0).

client(Names, Groups, Until, N) ->
    case erlang:monotonic_time(nanosecond) >= Until of
        true -> N;
        false ->
            {ok, ok, _} = ra:process_command({element(rand:uniform(Groups), Names), node()},
                                             {put, rand:uniform(10000), <<1:64>>}, 10000),
            client(Names, Groups, Until, N + 1)
    end.
