//! Every role there is, in one enum, and what the owner of the loop may ask of each.

use std::io::IsTerminal;

use crate::base::time::Time;
use crate::config::Run;
use crate::reactor::view::{ClientPage, View};
use crate::reactor::{Cx, Event, Role};
use crate::roles::console::Console;
use crate::roles::demo::Demo;
use crate::roles::hub::config::Auth;
use crate::roles::hub::{Hub, Tunnel, User};
use crate::roles::metrics::Metrics;
use crate::roles::relay::Relay;
use crate::roles::relay::config::DumpFormat;
use crate::roles::status::Status;
use crate::roles::tunnel::{Expose, Serve};
use crate::roles::ws::{self, Adapter};

/// Every role there is, so that the loop needs no `dyn`.
#[allow(
    clippy::large_enum_variant,
    reason = "each stands in a place that the next one has after it, and a box would be one step more for every event"
)]
pub enum RoleSet {
    /// The one-way relay.
    Relay(Relay),
    /// The demonstration, but for its relay.
    Demo(Demo),
    /// The hub.
    Hub(Hub),
    /// A client of a hub.
    HubUser(User),
    /// One end of a tunnel through a hub.
    HubTunnel(Tunnel),
    /// The reverse tunnel's server.
    TunnelServe(Serve),
    /// The reverse tunnel's backend.
    TunnelExpose(Expose),
    /// A relay of WebSockets.
    WsRelay(ws::Relay),
    /// An end of a tunnel through one.
    WsAdapter(Adapter),
    /// The console's pages and their API.
    Console(Console),
    /// What others ask by HTTP.
    Metrics(Metrics),
    /// Someone who asks those that run.
    Status(Status),
}

impl RoleSet {
    /// A role with these orders, that does nothing before its first event.
    pub(super) fn new(run: &Run) -> Self {
        match run.clone() {
            Run::Relay(config) => Self::Relay(Relay::new(*config)),
            Run::HubServe { config, .. } => Self::Hub(Hub::new(*config)),
            Run::TunnelServe { config, .. } => Self::TunnelServe(Serve::new(*config)),
            Run::TunnelExpose(config) => Self::TunnelExpose(Expose::new(*config)),
            Run::HubTunnel(config) => Self::HubTunnel(Tunnel::new(*config)),
            Run::HubUser(config) => {
                let terminal = std::io::stdin().is_terminal();
                Self::HubUser(User::new(*config, terminal))
            }
            Run::WsRelay { config, .. } => Self::WsRelay(ws::Relay::new(*config)),
            Run::WsAdapter(config) => Self::WsAdapter(Adapter::new(*config)),
            Run::Status(_) | Run::Demo | Run::Bench(_) | Run::Console(_) | Run::Many(_) => {
                unreachable!("they are composed elsewhere")
            }
        }
    }

    /// What it shows of itself, if it shows anything.
    pub(super) fn view(&self, now: Time) -> Option<View> {
        match self {
            Self::Relay(relay) => Some(relay.view(now)),
            Self::Hub(hub) => Some(hub.view(now)),
            Self::TunnelServe(serve) => Some(serve.view(now)),
            Self::TunnelExpose(expose) => Some(expose.view(now)),
            Self::HubTunnel(tunnel) => Some(tunnel.view(now)),
            Self::Demo(_) | Self::HubUser(_) | Self::Metrics(_) => None,
            Self::WsRelay(relay) => Some(relay.view(now)),
            Self::WsAdapter(adapter) => Some(adapter.view(now)),
            Self::Console(_) | Self::Status(_) => None,
        }
    }

    /// Some of its clients.
    pub(super) fn client_page(&self, cx: &Cx<'_>, now: Time, from: u64) -> ClientPage {
        match self {
            Self::Relay(relay) => relay.client_page(cx, now, from),
            Self::Hub(hub) => hub.client_page(now, from),
            Self::TunnelServe(serve) => serve.client_page(now, from),
            Self::TunnelExpose(expose) => expose.client_page(now, from),
            Self::HubTunnel(tunnel) => tunnel.client_page(now, from),
            Self::Demo(_) | Self::HubUser(_) | Self::Metrics(_) => ClientPage::default(),
            Self::WsRelay(relay) => relay.client_page(now, from),
            Self::WsAdapter(adapter) => adapter.client_page(now, from),
            Self::Console(_) | Self::Status(_) => ClientPage::default(),
        }
    }

    /// Shows its payload on stdout, or ends that.
    ///
    /// # Errors
    /// Why that can't be.
    pub(super) fn dump(
        &mut self,
        cx: &mut Cx<'_>,
        format: Option<DumpFormat>,
    ) -> Result<(), String> {
        match self {
            Self::Relay(relay) => relay.set_dump(cx, format),
            _ => Err("only a relay has a payload to show".to_owned()),
        }
    }

    /// Takes over what may change of other orders while it runs.
    ///
    /// # Errors
    /// What of it can't hold.
    pub(super) fn set_options(&mut self, cx: &mut Cx<'_>, run: &Run) -> Result<(), String> {
        match (self, run) {
            (Self::Relay(relay), Run::Relay(config)) => relay.set_options(cx, config),
            (Self::Hub(hub), Run::HubServe { config, .. }) => {
                if let Auth::Tokens(tokens) = &config.auth {
                    hub.set_tokens(tokens.clone());
                }
                hub.set_options(cx, config)
            }
            (Self::TunnelServe(serve), Run::TunnelServe { config, .. }) => {
                if let Some(tokens) = config.tokens.clone() {
                    serve.set_tokens(cx, tokens);
                }
                Ok(())
            }
            (Self::WsRelay(relay), Run::WsRelay { config, .. }) => {
                if let Some(tokens) = config.tokens.clone() {
                    relay.set_tokens(cx, tokens);
                }
                Ok(())
            }
            (Self::TunnelExpose(expose), Run::TunnelExpose(config)) => {
                expose.set_token(config.token.clone());
                Ok(())
            }
            (Self::WsAdapter(adapter), Run::WsAdapter(config)) => {
                adapter.set_token(config.token.clone());
                Ok(())
            }
            (Self::HubTunnel(tunnel), Run::HubTunnel(config)) => {
                tunnel.set_token(config.account.token.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Dials another source while its clients stay.
    pub(super) fn set_source(&mut self, cx: &mut Cx<'_>, run: &Run) {
        if let (Self::Relay(relay), Run::Relay(config)) = (self, run) {
            relay.set_source(cx, config.source.clone());
        }
    }

    /// Disconnects a client. Whether there was one of this id.
    pub(super) fn kick(&mut self, cx: &mut Cx<'_>, client: u64) -> bool {
        match self {
            Self::Relay(relay) => relay.kick(cx, client),
            Self::Hub(hub) => hub.kick(cx, client),
            Self::TunnelServe(serve) => serve.kick(cx, client),
            Self::TunnelExpose(expose) => expose.kick(cx, client),
            Self::HubTunnel(tunnel) => tunnel.kick(cx, client),
            Self::Demo(_) | Self::HubUser(_) | Self::Metrics(_) => false,
            Self::WsRelay(relay) => relay.kick(cx, client),
            Self::WsAdapter(adapter) => adapter.kick(cx, client),
            Self::Console(_) | Self::Status(_) => false,
        }
    }
}

impl Role for RoleSet {
    // What few processes run is called, never merged into this: it would lie between what the others run all the time.
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match self {
            Self::Relay(relay) => relay.on(cx, event),
            other => other.on_beside(cx, event),
        }
    }
}

impl RoleSet {
    /// Something happened to a role that is no relay, in which few messages are as small as in one.
    #[inline(never)]
    fn on_beside(&mut self, cx: &mut Cx<'_>, event: Event) {
        match self {
            Self::Relay(relay) => relay.on(cx, event),
            Self::Demo(demo) => demo.on(cx, event),
            Self::Hub(hub) => hub.on(cx, event),
            Self::HubUser(user) => user.on(cx, event),
            Self::HubTunnel(tunnel) => tunnel.on(cx, event),
            Self::TunnelServe(serve) => serve.on(cx, event),
            Self::TunnelExpose(expose) => expose.on(cx, event),
            Self::WsRelay(relay) => relay.on(cx, event),
            Self::WsAdapter(adapter) => adapter.on(cx, event),
            Self::Console(console) => console.on(cx, event),
            Self::Metrics(metrics) => metrics.on(cx, event),
            Self::Status(status) => status.on(cx, event),
        }
    }
}
