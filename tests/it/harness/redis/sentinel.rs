//! A master with two replicas, and three Sentinels that put a replica in its place when it falls.

use super::{OwnRedis, is_installed, until};

/// What the Sentinels call the master.
const NAME: &str = "main";

/// How a master falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fall {
    /// It is killed.
    Killed,
    /// It goes on listening and never answers again.
    Hung,
    /// It is told to make way.
    Demoted,
}

/// Servers that Sentinels watch over.
pub(crate) struct OwnSentinel {
    servers: Vec<OwnRedis>,
    sentinels: Vec<OwnRedis>,
}

impl OwnSentinel {
    /// None where `redis-server` is not installed and need not be.
    pub(crate) async fn start() -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let mut servers = vec![OwnRedis::with(&[]).await];
        let master = servers[0].port.to_string();
        for _ in 0..2 {
            servers.push(OwnRedis::with(&["--replicaof", "127.0.0.1", &master]).await);
        }
        for replica in &servers[1..] {
            in_step(replica).await;
        }
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(sentinel(&master).await);
        }
        let this = Self { servers, sentinels };
        for sentinel in &this.sentinels {
            until("a Sentinel knows of all others", || {
                let told = sentinel.tell(&format!("SENTINEL MASTER {NAME}"));
                told.contains("num-slaves\r\n$1\r\n2") && told.contains("num-other-sentinels\r\n$1\r\n2")
            })
            .await;
        }
        Some(this)
    }

    pub(crate) fn url(&self) -> String {
        let [first, others @ ..] = self.sentinels.as_slice() else { unreachable!() };
        let others: Vec<_> = others.iter().map(|other| format!("node=127.0.0.1:{}", other.port)).collect();
        format!("redis-sentinel://127.0.0.1:{}?{}&sentinelServiceName={NAME}", first.port, others.join("&"))
    }

    /// Tells all servers, or all Sentinels, something.
    pub(crate) fn tell_all(&self, sentinels: bool, command: &str) {
        for server in if sentinels { &self.sentinels } else { &self.servers } {
            assert_eq!(server.tell(command), "+OK\r\n", "{command}");
        }
    }

    /// The server that the Sentinels hold to be the master.
    pub(crate) fn master(&self) -> &OwnRedis {
        &self.servers[self.place_of_master().expect("all Sentinels name one master")]
    }

    /// Lets the master fall, and tells who it was.
    pub(crate) fn fall(&mut self, how: Fall) -> usize {
        let place = self.place_of_master().expect("all Sentinels name one master");
        match how {
            Fall::Killed => self.servers[place].stop(),
            Fall::Hung => self.servers[place].signal("-STOP"),
            Fall::Demoted => assert!(self.sentinels[0].tell(&format!("SENTINEL FAILOVER {NAME}")).starts_with("+OK")),
        }
        place
    }

    /// Waits until another has taken the place of the one that fell.
    pub(crate) async fn replaced(&self, fallen: usize) {
        until("another is master", || {
            let master = self.place_of_master().filter(|place| *place != fallen);
            master.is_some_and(|place| self.servers[place].tell("ROLE").contains("master"))
        })
        .await;
    }

    /// Starts the one that fell as a replica of the one that took its place, and waits until all are as at the beginning.
    pub(crate) async fn restore(&mut self, fallen: usize) {
        let master = self.master().port.to_string();
        // One that hangs, or that made way, is killed as well: Sentinels take long to turn such a one round.
        self.servers[fallen].stop();
        self.servers[fallen].start_again_with(&["--replicaof", "127.0.0.1", &master]).await;
        for (place, server) in self.servers.iter().enumerate() {
            if Some(place) != self.place_of_master() {
                in_step(server).await;
            }
        }
        for sentinel in &self.sentinels {
            until("the Sentinels see two sound replicas", || {
                let told = sentinel.tell(&format!("SENTINEL REPLICAS {NAME}"));
                told.matches("$5\r\nflags\r\n$5\r\nslave\r\n").count() == 2
                    && told.matches("master-link-status\r\n$2\r\nok").count() == 2
            })
            .await;
        }
    }

    /// The place of the master, where all Sentinels name the same.
    fn place_of_master(&self) -> Option<usize> {
        let mut named = self.sentinels.iter().map(|sentinel| {
            let told = sentinel.tell(&format!("SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}"));
            let port = told.lines().last().and_then(|port| port.trim().parse::<u16>().ok());
            self.servers.iter().position(|server| Some(server.port) == port)
        });
        let first = named.next().flatten()?;
        named.all(|other| other == Some(first)).then_some(first)
    }
}

/// Waits until a replica has what its master has.
async fn in_step(replica: &OwnRedis) {
    until("the replica is in step", || replica.tell("INFO replication").contains("master_link_status:up")).await;
}

/// Starts a Sentinel, which looks often and decides quickly.
async fn sentinel(master: &str) -> OwnRedis {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sentinel.conf");
    let settings = [
        format!("sentinel monitor {NAME} 127.0.0.1 {master} 2"),
        format!("sentinel down-after-milliseconds {NAME} 500"),
        format!("sentinel failover-timeout {NAME} 1500"),
        format!("sentinel parallel-syncs {NAME} 2"),
    ];
    std::fs::write(&file, settings.join("\n") + "\n").unwrap();
    let sentinel =
        OwnRedis::in_folder(folder, &[&file.display().to_string(), "--bind", "127.0.0.1", "--sentinel"]).await;
    // How often it looks who replicates whom. Before Redis 7 it cannot be told, and tests take longer.
    sentinel.tell("SENTINEL DEBUG INFO-PERIOD 500");
    sentinel
}
