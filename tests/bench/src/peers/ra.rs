//! Ra, RabbitMQ's Raft library: three virtual machines with a log each, and one for clients.

use std::path::PathBuf;

use super::{
    Erlang, Peers, compile,
    erlang::{Mapper, own},
    installed,
};

/// A cluster that runs.
pub struct Ra {
    client: Erlang,
    nodes: Vec<Erlang>,
    _mapper: Mapper,
}

/// Four virtual machines share the cores: that their schedulers do not spin is RabbitMQ's own advice for such a machine.
const FLAGS: [&str; 6] = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"];
/// The leader, wherever it is asked.
const LEADER: &str = "persistent_term:get(leader)";

impl Peers {
    /// Starts a cluster of three with logs on the disk.
    pub fn ra(&mut self) -> Result<Ra, String> {
        self.allowed()?;
        if !installed("erl") || !installed("erlc") {
            return Err("is not installed: run the peers' `install.sh ra`".to_owned());
        }
        let mut paths = Vec::new();
        for library in ["ra", "aten", "gen_batch_server", "seshat"] {
            paths.push(self.ra_library(library)?);
        }
        let ebin = self.folder.path().join("ebin-ra");
        if !ebin.is_dir() {
            compile(&ebin, &[], &[self.script("erlang/anchor_lib.erl")?])?;
            compile(&ebin, &paths, &[self.script("ra/anchor_ra.erl")?, own("beside_ra.erl")])?;
            let version = paths[0].parent().and_then(|p| p.file_name()).unwrap_or_default().to_string_lossy();
            self.versions.insert("Ra".into(), version.trim_start_matches("ra-").to_owned());
        }
        paths.push(ebin);
        let mapper = Mapper::start()?;
        let start = |name: &str| {
            let mut words: Vec<String> = FLAGS.map(str::to_owned).into();
            words.extend(["-start_epmd", "false", "-setcookie", "bench"].map(str::to_owned));
            words.extend(["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-name"].map(str::to_owned));
            words.push(format!("{name}@127.0.0.1"));
            Erlang::start(&paths, &words, &mapper.env())
        };
        let mut nodes = Vec::new();
        for name in ["ra1", "ra2", "ra3"] {
            nodes.push(start(name)?);
        }
        let mut client = start("raclient")?;
        let folder = self.folder.path().join("ra");
        let _ = std::fs::remove_dir_all(&folder);
        let names = "['ra1@127.0.0.1', 'ra2@127.0.0.1', 'ra3@127.0.0.1']";
        client.eval("logger:set_primary_config(level, error)")?;
        client.eval(&format!("[ok = anchor_ra:wait_for(N, 100) || N <- {names}]"))?;
        client.eval(&format!("[erpc:call(N, logger, set_primary_config, [level, error]) || N <- {names}]"))?;
        client.eval(&format!(
            "[ok = erpc:call(N, anchor_ra, boot, [\"{}/\" ++ atom_to_list(N)]) || N <- {names}]",
            folder.display()
        ))?;
        client.eval(&format!(
            "Ids = [{{anchor, N}} || N <- {names}],
             {{ok, _, _}} = erpc:call(hd({names}), ra, start_cluster, [default, anchor, {{module, anchor_ra, #{{}}}}, Ids]),
             {{ok, _, L}} = erpc:call(hd({names}), ra, members, [hd(Ids)]),
             persistent_term:put(leader, L)"
        ))?;
        Ok(Ra { client, nodes, _mapper: mapper })
    }

    fn ra_library(&self, name: &str) -> Result<PathBuf, String> {
        let missing = || "is not installed: run the peers' `install.sh ra`".to_owned();
        let only = |folder: PathBuf, front: &str| {
            let entries = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.path());
            let fits = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(front));
            entries.filter(fits).max()
        };
        let server =
            only(self.place.join("rabbitmq-server/usr/lib/rabbitmq/lib"), "rabbitmq_server-").ok_or_else(missing)?;
        let library = only(server.join("plugins"), &format!("{name}-")).ok_or_else(missing)?;
        Ok(library.join("ebin"))
    }
}

impl Ra {
    /// Commands a second of five clients beside the leader with 500 on their way each.
    pub fn pipelined(&mut self, bytes: usize, seconds: u64) -> Result<f64, String> {
        self.client.number(&format!(
            "{{_, Node}} = L = {LEADER}, V = binary:copy(<<1>>, {bytes}),
             erpc:call(Node, anchor_ra, pipeline, [L, 5, 500, {seconds}, V, low], infinity)"
        ))
    }

    /// Commands a second of waiting clients in a virtual machine of their own; and half and all but a hundredth of their waits, in
    /// microseconds.
    pub fn waiting(&mut self, clients: u64, bytes: usize, seconds: u64) -> Result<[f64; 3], String> {
        let found = self.client.numbers(&format!(
            "{{R, P50, P99}} = anchor_ra:clients({LEADER}, {clients}, {seconds}, binary:copy(<<1>>, {bytes})), [R, P50 / 1000, P99 / 1000]"
        ))?;
        found.try_into().map_err(|found| format!("gave {found:?}"))
    }

    /// Starts so many more clusters on the three nodes: seconds that it took.
    pub fn more_groups(&mut self, many: u64) -> Result<f64, String> {
        self.client.number(&format!(
            "Names = ['ra1@127.0.0.1', 'ra2@127.0.0.1', 'ra3@127.0.0.1'],
             T0 = anchor_lib:now_ns(),
             Me = self(),
             Make = fun(I) -> Name = list_to_atom(\"g\" ++ integer_to_list(I)),
                 {{ok, _, _}} = ra:start_cluster(default, Name, {{module, anchor_ra, #{{}}}}, [{{Name, N}} || N <- Names]) end,
             erpc:call(hd(Names), fun() -> [Make(I) || I <- lists:seq(1, {many})] end, infinity),
             (anchor_lib:now_ns() - T0) / 1.0e9"
        ))
    }

    /// Process ids of the three members' virtual machines.
    pub fn pids(&mut self) -> Result<Vec<u32>, String> {
        let mut pids = Vec::new();
        for node in &mut self.nodes {
            pids.push(node.number("list_to_integer(os:getpid())")? as u32);
        }
        Ok(pids)
    }

    /// Commands a second to all groups that were started, from as many waiting clients as are wanted beside the first member.
    pub fn over_many(&mut self, groups: u64, clients: u64, seconds: u64) -> Result<f64, String> {
        self.client.number(&format!(
            "erpc:call('ra1@127.0.0.1', beside_ra, to_many, [{groups}, {clients}, {seconds}], infinity)"
        ))
    }
}
