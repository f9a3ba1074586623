//! What an agent is told with its look-up: the operator's options for it.

use crate::site::Site;
use serde_json::{Value, json};

#[tokio::test]
async fn options_for_agents_come_with_their_look_up() {
    let told = async |site: Site| -> Value {
        let node = site.node("n").await;
        site.get(&format!("/v1/lookup?node_uuid={node}")).await.expect(200).body["config"].clone()
    };
    let plain = told(Site::with(|config, _| config.api.restrict_lookup = false).await).await;
    assert_eq!(
        plain["agent_containers"],
        json!({"allow_arbitrary_containers": false, "allowed_containers": [],
            "container_steps_file": "/etc/ironic-python-agent.d/mysteps.yaml", "runner": "podman", "pull_options": [],
            "run_options": ["--rm", "--network=host"]})
    );
    assert_eq!(
        plain["metrics"],
        json!({"backend": "noop", "prepend_host": false, "prepend_uuid": false, "prepend_host_reverse": true,
            "global_prefix": null})
    );
    assert_eq!(plain["metrics_statsd"], json!({"statsd_host": "localhost", "statsd_port": 8125}));
    let site = Site::with(|config, _| {
        config.api.restrict_lookup = false;
        config.agent_containers.allowed_containers = vec!["registry.example/step:1".into()];
        config.metrics.agent_backend = "statsd".into();
        config.metrics_statsd.agent_statsd_host = "192.0.2.7".into();
    })
    .await;
    let own = told(site).await;
    assert_eq!(own["agent_containers"]["allowed_containers"], json!(["registry.example/step:1"]));
    assert_eq!(
        (&own["metrics"]["backend"], &own["metrics_statsd"]["statsd_host"]),
        (&json!("statsd"), &json!("192.0.2.7"))
    );
}
