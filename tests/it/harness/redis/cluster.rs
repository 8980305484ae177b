//! A cluster of three masters, each with a replica that takes its place when it falls.

use super::{OwnRedis, is_installed, until};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// Servers that share the slots of a cluster.
pub(crate) struct OwnCluster {
    servers: Vec<OwnRedis>,
}

impl OwnCluster {
    /// None where `redis-server` is not installed and need not be.
    pub(crate) async fn start() -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let mut servers = Vec::new();
        for _ in 0..2 * MASTERS {
            servers.push(OwnRedis::with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]).await);
        }
        let this = Self { servers };
        for (place, master) in this.servers[..MASTERS].iter().enumerate() {
            let slots: Vec<_> = slots(place).map(|slot| slot.to_string()).collect();
            assert_eq!(master.tell(&format!("CLUSTER ADDSLOTS {}", slots.join(" "))), "+OK\r\n");
            assert_eq!(master.tell(&format!("CLUSTER SET-CONFIG-EPOCH {}", place + 1)), "+OK\r\n");
        }
        for other in &this.servers[1..] {
            this.servers[0].tell(&format!("CLUSTER MEET 127.0.0.1 {}", other.port));
        }
        for (place, replica) in this.servers.iter().enumerate().skip(MASTERS) {
            let command = format!("CLUSTER REPLICATE {}", this.id(place - MASTERS));
            until("the master is known to its replica", || replica.tell(&command).starts_with("+OK")).await;
        }
        this.sound().await;
        Some(this)
    }

    pub(crate) fn url(&self) -> String {
        let [first, others @ ..] = self.servers.as_slice() else { unreachable!() };
        let others: Vec<_> = others.iter().map(|other| format!("node=127.0.0.1:{}", other.port)).collect();
        format!("redis-cluster://127.0.0.1:{}?{}", first.port, others.join("&"))
    }

    /// The slot of a key, and the place of the server that has it.
    pub(crate) fn owner(&self, key: &str) -> (usize, usize) {
        let slot = self.any().tell(&format!("CLUSTER KEYSLOT {key}")).trim_start_matches(':').trim().parse().unwrap();
        // Whoever owns a slot does not say that it has moved.
        let owns = |server: &OwnRedis| !server.tell(&format!("GET {key}")).starts_with("-MOVED");
        (slot, self.servers.iter().position(|server| server.is_alive() && owns(server)).unwrap())
    }

    /// Tells all servers something.
    pub(crate) fn tell_all(&self, command: &str) {
        for server in &self.servers {
            assert_eq!(server.tell(command), "+OK\r\n", "{command}");
        }
    }

    /// A server of it.
    pub(crate) fn server(&mut self, place: usize) -> &mut OwnRedis {
        &mut self.servers[place]
    }

    /// Waits until the cluster has all its slots again, without the server at this place.
    pub(crate) async fn replaced(&self, fallen: usize) {
        until("a replica has taken the slots", || {
            let mut others = self.servers.iter().enumerate().filter(|(place, _)| *place != fallen);
            others.all(|(_, server)| {
                server.tell("CLUSTER INFO").contains("cluster_state:ok")
                    && !server.tell("CLUSTER SLOTS").contains(&format!(":{}\r\n", self.servers[fallen].port))
            })
        })
        .await;
    }

    /// Begins to move a slot: what is asked of it is sent on, bit by bit.
    pub(crate) fn begin_to_move(&self, slot: usize, from: usize, to: usize) {
        let (from_id, to_id) = (self.id(from), self.id(to));
        self.servers[to].tell(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
        self.servers[from].tell(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
    }

    /// Ends it, with the keys that are named.
    pub(crate) fn end_to_move(&self, slot: usize, from: usize, to: usize, keys: &[&str]) {
        let port = self.servers[to].port;
        for key in keys {
            self.servers[from].tell(&format!("MIGRATE 127.0.0.1 {port} {key} 0 1000"));
        }
        for place in [to, from] {
            let told = self.servers[place].tell(&format!("CLUSTER SETSLOT {slot} NODE {}", self.id(to)));
            assert_eq!(told, "+OK\r\n");
        }
    }

    /// Waits until all have all slots and each replica what its master has.
    async fn sound(&self) {
        for server in &self.servers {
            until("the cluster has all its slots", || {
                let told = server.tell("CLUSTER INFO");
                told.contains("cluster_state:ok") && told.contains(&format!("cluster_known_nodes:{}", 2 * MASTERS))
            })
            .await;
        }
        for replica in &self.servers[MASTERS..] {
            until("the replica is in step", || replica.tell("INFO replication").contains("master_link_status:up"))
                .await;
        }
    }

    fn any(&self) -> &OwnRedis {
        self.servers.iter().find(|server| server.is_alive()).unwrap()
    }

    fn id(&self, place: usize) -> String {
        let told = self.servers[place].tell("CLUSTER MYID");
        told.lines().last().unwrap().to_owned()
    }
}

/// The slots of one of the masters.
fn slots(place: usize) -> std::ops::Range<usize> {
    SLOTS * place / MASTERS..SLOTS * (place + 1) / MASTERS
}
