//! The servers and the log.

use fermata_execution::rpc::RpcLimits;
use tracing_subscriber::EnvFilter;

use crate::config::reader::Reader;
use crate::config::{AdminConfig, LogConfig, LogFormat, RpcConfig};

pub(super) fn rpc(r: &mut Reader<'_>) -> Option<RpcConfig> {
    let listen = r.socket("rpc.listen");
    let max_connections = r.count("rpc.max_connections", 1..=100_000);
    let max_request_bytes = r.count("rpc.max_request_bytes", 1_024..=1 << 30);
    let max_batch = r.count("rpc.max_batch", 1..=100_000);
    let max_log_blocks = r.integer("rpc.max_log_blocks", 1..=u64::MAX);
    let limits = RpcLimits {
        max_connections: max_connections?,
        max_request_bytes: max_request_bytes?,
        max_batch: max_batch?,
        max_log_blocks: max_log_blocks?,
        ..RpcLimits::default()
    };
    Some(RpcConfig { listen: listen?, limits })
}

pub(super) fn admin(r: &mut Reader<'_>) -> Option<AdminConfig> {
    let listen = r.socket("admin.listen");
    let allowed_origins = r.list("admin.allowed_origins");
    let allowed_hosts = r.list("admin.allowed_hosts");
    let may_be_public = r.word("admin.allow_public", &[("no", false), ("yes", true)]);
    if let (Some(listen), Some(may_be_public), Some(hosts)) = (listen, may_be_public, &allowed_hosts)
        && !listen.ip().is_loopback()
        && (hosts.is_empty() || !may_be_public)
    {
        let remedy = "listen on 127.0.0.1; or set admin.allow_public to `yes`, set admin.allowed_hosts to the names it is called by, and put TLS before it";
        r.invalid("admin.listen", "is not a loopback address, and the admin RPC speaks plain HTTP", remedy);
    }
    let is_origin =
        |origin: &String| origin.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'));
    if !allowed_origins.iter().flatten().all(is_origin) {
        r.invalid(
            "admin.allowed_origins",
            "has an entry that is not an origin",
            "write it as https://host or https://host:port",
        );
    }
    Some(AdminConfig {
        listen: listen?,
        may_be_public: may_be_public?,
        allowed_origins: allowed_origins?,
        allowed_hosts: allowed_hosts?,
    })
}

pub(super) fn log(r: &mut Reader<'_>) -> Option<LogConfig> {
    let filter = r.text("log.filter");
    if let Some(filter) = &filter
        && let Err(error) = EnvFilter::builder().parse(filter)
    {
        r.invalid("log.filter", format!("is not a filter ({error})"), "write it like info,fermata_publisher=debug");
    }
    let format = r.word("log.format", &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)]);
    Some(LogConfig { filter: filter?, format: format? })
}
