//! What of an MCP server's task can be said without one.

use super::*;

#[test]
fn a_server_that_is_away_is_tried_later_each_time_and_at_least_once_a_minute() {
    let pauses: Vec<u64> = [1, 2, 3, 6, 7, 8, 100, u32::MAX].into_iter().map(|n| pause(n).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60, 60]);
}
