//! Deployments in which something breaks. A disk that was not written to its end never boots; the next try works.

use tests::disk::could_boot;
use tests::image_server::Fault;
use tests::machine::{Bus, GIB, Spec};
use tests::node::Node;
use tests::site::Site;
use tests::story::{site, site_with};

/// Slow enough to break something half-way, fast enough to end within a story.
const SLOW: Fault = Fault::Slow { rate: 6 << 20 };

fn spec() -> Spec {
    Spec::bios().disk(Bus::Virtio, "LAB0", 5 * GIB)
}

async fn works_after_all(node: &Node, site: &Site) {
    let mark = node.machine().console().mark();
    node.deploy(&site.raw(), "after-all").await;
    node.reaches("active").await;
    node.shows_since(mark, "OS: ready host=after-all").await;
}

#[test]
fn a_wrong_checksum_fails_the_deployment_leaves_nothing_that_boots_and_the_next_try_works() {
    site(async |site: Site| {
        let node = site.ready_uncleaned(spec()).await;
        node.deploy(&site.raw().with_wrong_checksum(), "never").await;
        node.reaches("deploy failed").await;
        let error = node.text("last_error").await;
        assert!(error.contains("checksum"), "the error does not name the cause: {error}");
        node.machine().power_off();
        assert!(!could_boot(&node.machine().disk(0)), "an image that is not the one asked for must not boot");
        works_after_all(&node, &site).await;
    });
}

#[test]
fn an_agent_that_dies_while_it_writes_fails_the_deployment_and_the_next_try_works() {
    site_with(&[("conductor.deploy_callback_timeout", 60.into())], async |site: Site| {
        let node = site.ready_uncleaned(spec()).await;
        let image = site.raw();
        site.images.fault(&image.name, Some(SLOW));
        node.deploy(&image, "never").await;
        node.shows("writing the image:").await;
        node.machine().power_off();
        assert!(!could_boot(&node.machine().disk(0)), "a half-written disk must never boot");
        site.images.fault(&image.name, None);
        node.reaches("deploy failed").await;
        assert_ne!(node.text("last_error").await, "");
        works_after_all(&node, &site).await;
    });
}

#[test]
fn an_agent_process_that_is_killed_while_it_writes_is_started_again_and_the_step_begins_again() {
    site(async |site: Site| {
        let node = site.ready_uncleaned(spec()).await;
        node.set("/driver_info/kernel_append_params", "%default% wrought.shell".into()).await;
        let image = site.raw();
        site.images.fault(&image.name, Some(SLOW));
        node.deploy(&image, "stubborn").await;
        node.shows("writing the image").await;
        let mark = node.machine().console().mark();
        node.machine().console().types("killall -9 agent");
        node.shows_since(mark, "agent starts").await;
        site.images.fault(&image.name, None);
        node.reaches("active").await;
        node.shows("OS: ready host=stubborn").await;
        let history = node.history().await;
        assert!(history.contains("the agent was restarted while it ran deploy.write_image"), "{history}");
    });
}

#[test]
fn a_bmc_that_dies_during_a_deployment_and_comes_back_costs_nothing_but_time() {
    site(async |site: Site| {
        let node = site.ready_uncleaned(spec()).await;
        let image = site.raw();
        site.images.fault(&image.name, Some(SLOW));
        node.deploy(&image, "patient").await;
        node.shows("writing the image:").await;
        node.bmc().dies();
        node.shows("image written").await;
        // Long enough for the conductor to find out that nobody answers, shorter than its patience.
        tokio::time::sleep(std::time::Duration::from_secs(8)).await;
        node.bmc().revive();
        node.reaches("active").await;
        node.shows("OS: ready host=patient").await;
    });
}

#[test]
fn an_image_server_that_drops_the_connection_half_way_is_asked_for_the_rest() {
    site(async |site: Site| {
        let node = site.ready_uncleaned(spec()).await;
        let image = site.raw();
        site.images.fault(&image.name, Some(Fault::Drop { at: image.bytes / 2, times: 1 }));
        node.deploy(&image, "resumed").await;
        node.reaches("active").await;
        node.shows("OS: ready host=resumed").await;
        let asked = site.images.requests();
        let rest = asked.iter().find(|request| request.from == Some(image.bytes / 2));
        assert!(rest.is_some_and(|request| request.status == 206), "no request for the rest: {asked:?}");
        let sent: u64 = asked.iter().filter(|request| request.method == "GET").map(|request| request.sent).sum();
        assert!(sent < image.bytes + image.bytes / 10, "{sent} bytes were sent for an image of {}", image.bytes);
    });
}
