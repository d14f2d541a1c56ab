//! Lives of the reverse tunnel in which something went wrong once, each as short as it gets, in virtual time and without
//! a fault. All that is looked at in every life is looked at here too.

use super::roles::{Party, party};
use super::*;
use crate::base::secret::Secret;
use crate::roles::tunnel::{Expose, Tokens};
use crate::sim::World;

/// A server, its backends of our own, and a network to make others in.
struct Stage {
    reactor: Reactor<Party>,
    parties: Vec<RoleId>,
    handle: Handle,
}

impl Stage {
    /// `tunnel serve 7000` with these flags and lines of tokens, and then one backend for each of the others.
    fn new(flags: &str, tokens: Option<&str>, backends: &[&str]) -> Self {
        let (net, handle) = SimNet::new(1, Faults::none());
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let mut server = party(format!("tunnel serve 7000 {flags}").trim());
        if let Party::Serve(serve) = &mut server {
            serve.orders().tokens = tokens.map(read);
        }
        let backends = backends.iter().map(|words| {
            let mut backend = party(&format!("tunnel expose 7000 {words}"));
            if let Party::Expose(expose) = &mut backend {
                expose.orders().token = tokens.map(|_| Secret::from(TOKEN.as_bytes().to_vec()));
            }
            backend
        });
        let all: Vec<Party> = std::iter::once(server).chain(backends).collect();
        let parties = all.into_iter().map(|party| reactor.add(party)).collect();
        Self {
            reactor,
            parties,
            handle,
        }
    }

    fn world(&self) -> std::cell::RefMut<'_, World> {
        self.handle.world()
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.world().time() + time;
        while self.world().time() < end {
            let mut ended = Vec::new();
            self.reactor
                .turn(&mut ended)
                .expect("a simulated wait works");
            assert!(ended.is_empty(), "{ended:?}");
            check(&self.reactor, &self.parties);
        }
    }

    fn expose(&self, backend: usize) -> &Expose {
        match self.reactor.role(self.parties[backend]) {
            Some(Party::Expose(expose)) => expose,
            _ => panic!("the others are backends"),
        }
    }
}

fn read(lines: &str) -> Tokens {
    Tokens::parse(lines.as_bytes()).expect("lines of tokens")
}

const TOKEN: &str = "0123456789abcdef";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Each takes the name from the other as soon as it may, and every time all clients are reset.
#[test]
fn two_backends_with_one_name_take_it_from_each_other_more_and_more_rarely() {
    let words = "--echo --name web --port 7001 --retry 0.2..30";
    let mut stage = Stage::new("", Some(&format!("web {TOKEN}")), &[words, words]);
    stage.run_for(secs(60));
    let sessions = [1, 2].map(|backend| stage.expose(backend).counts().sessions);
    let taken: u64 = sessions.iter().sum();
    assert!(
        (4..=30).contains(&taken),
        "{sessions:?} sessions in a minute"
    );
}
