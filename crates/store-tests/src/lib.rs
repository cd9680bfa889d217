//! What every store must do. Each store's `tests/conformance.rs` calls [`conformance!`], which makes one test of each function
//! here, on an empty store of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "this crate is linked into tests only, and panicking is how a test fails"
)]

pub mod accounts;
pub mod agents;
pub mod audit;
pub mod authorities;
pub mod checks;
pub mod connection_tests;
pub mod connectors;
pub mod credentials;
pub mod devices;
pub mod ledger;
pub mod oauth;
pub mod postgres;
pub mod posture;
pub mod samples;
pub mod schedules;
pub mod seals;
pub mod smtp;
pub mod users;
pub mod watch;

use std::sync::Arc;

use service::ports::Store;

/// The store under test.
pub type Subject = Arc<dyn Store>;

/// Every test, on what `open` makes: a value with a field `store: Subject` and a method `async fn close(self)`.
#[macro_export]
macro_rules! conformance {
    ($open:path) => {
        $crate::tests_of! { $open;
            accounts {
                an_account_comes_back_as_it_was_added,
                names_are_unique_without_regard_to_case_and_accents,
                only_one_of_two_at_once_gets_a_name,
                the_name_filter_folds_case_and_accents,
                percent_in_the_filter_is_literal,
                every_filter_selects,
                every_sort_runs_both_ways_with_ties_by_id,
                pages_cover_the_list_without_overlap,
                a_stale_version_is_a_conflict,
                a_change_clears_the_failure,
                a_missing_reference_is_named,
                a_removed_account_frees_its_name,
                a_restored_account_needs_its_name_free,
                only_stored_messages_are_wanted_deleted,
                what_was_asked_for_is_counted_and_can_be_taken_back, whoever_keeps_copies_again_has_nothing_deleted,
                an_account_is_purged_with_all_that_it_left,
            }
            watch {
                silence_makes_an_account_late_and_a_success_ends_that,
                a_disabled_account_is_never_late,
                a_refused_credential_stops_every_account_that_uses_it,
                a_doubtful_refusal_spares_the_siblings,
                what_ails_many_is_one_cause,
                what_runs_is_listed,
                instances_come_and_go,
                a_cause_is_told_once_and_once_when_it_is_over,
                whoever_asks_for_a_check_gets_it_from_a_worker,
                all_leases_of_an_instance_are_prolonged_at_once,
                a_transcript_goes_with_its_run_and_a_receipt_stays,
                a_setting_is_replaced,
            }
            credentials {
                a_credential_comes_back_as_it_was_added,
                reserved_ids_are_different,
                the_search_looks_at_names_and_user_names,
                names_are_unique_and_versions_checked,
                the_secret_stays_unless_a_new_one_is_given,
                a_new_secret_ends_the_stop_of_its_accounts,
                a_credential_in_use_stays,
            }
            oauth {
                settings_stand_beside_their_credential_and_go_with_it,
                other_settings_make_the_tokens_void_and_other_names_do_not,
                one_at_a_time_renews_and_who_lost_the_right_writes_nothing,
                what_is_due_is_renewed_until_the_provider_refuses,
                a_consent_ends_the_stop_of_the_accounts,
                a_consent_is_taken_once_and_not_too_late,
                a_success_notes_that_the_credential_was_accepted_once_a_minute,
                a_credential_says_when_its_consent_and_its_secret_end,
                what_a_server_accepted_is_noted_once_a_minute_and_not_for_a_new_secret,
            }
            devices {
                one_is_pending_until_its_code_is_too_old,
                one_asks_at_a_time_and_never_too_soon,
                tokens_and_the_end_of_the_flow_are_kept_together,
                who_ends_it_fences_out_who_asks,
            }
            connectors {
                a_connector_comes_back_as_it_was_added,
                the_search_looks_at_names_and_addresses,
                names_versions_and_references_are_checked,
                a_connector_in_use_stays,
                a_host_key_stays_until_another_server_stands_there,
                contact_is_written_once_a_minute_and_changes_no_version,
            }
            agents {
                a_code_enrols_one_agent_while_it_is_good,
                only_one_of_two_at_once_uses_a_code,
                an_agent_is_approved_seen_and_removed,
                other_instances_know_where_agents_are_connected,
                agents_and_codes_go_with_their_connector,
            }
            authorities {
                an_authority_comes_back_as_it_was_added,
                names_versions_and_references_are_checked,
                an_authority_in_use_stays,
                every_trust_comes_back_as_it_was_chosen,
                what_skips_its_certificate_is_found,
            }
            connection_tests {
                a_test_comes_back_as_it_was_kept,
                the_last_good_test_is_of_the_same_way_and_of_what_was_saved,
                old_tests_go_but_the_last_good_ones_stay,
                a_test_that_runs_is_known_to_every_instance,
                whoever_runs_a_test_learns_that_it_is_to_end,
                the_tests_of_an_account_that_were_begun_together_last_are_listed,
            }
            seals {
                only_the_key_that_seals_may_seal,
                the_first_key_is_remembered,
                a_seal_is_replaced_only_if_nobody_changed_it,
                of_seals_by_two_keys_none_is_written,
                nothing_is_sealed_by_a_key_that_seals_no_more,
                secrets_are_counted_by_their_keys,
                the_key_stays_while_an_instance_does_not_hold_the_next,
            }
            posture {
                what_is_plain_skipped_or_pinned_is_listed,
                what_was_seen_of_tls_lasts_until_something_else_is_seen,
                a_handshake_that_fails_is_weak_tls,
                what_is_shared_by_many_or_silent_for_long_is_listed,
                what_ends_of_a_credential_is_listed_and_leads_to_its_page,
            }
            smtp {
                a_record_comes_back_as_it_was_added,
                names_versions_and_references_are_checked,
                there_is_one_default,
            }
            schedules {
                a_schedule_comes_back_as_it_was_added,
                what_the_next_report_is_compared_with_outlives_runs_without_a_mail,
                a_due_schedule_is_begun_once,
                a_run_is_held_by_one_at_a_time,
                who_lost_the_lease_writes_nothing_and_what_was_sent_is_uncertain,
                a_run_waits_for_its_next_attempt,
                a_run_that_cannot_be_made_fails_or_waits,
                only_what_failed_or_is_uncertain_is_repeated,
                a_report_is_compared_with_the_last_that_reached_somebody,
                old_runs_go_with_their_files,
            }
            users {
                only_one_first_user_is_made,
                users_are_found_without_regard_to_case,
                sessions_are_found_touched_and_removed,
                expired_sessions_go,
                tokens_lead_to_their_user,
                a_setting_is_set_once,
            }
            audit {
                entries_come_newest_first,
                every_filter_selects,
                a_refused_change_leaves_no_entry,
                what_a_stranger_typed_is_recorded,
            }
            ledger {
                listing_twice_changes_nothing,
                arrivals_are_stored_once,
                both_kinds_of_keys_are_kept_apart,
                hostile_text_does_not_stop_a_batch,
                failures_end_in_quarantine_until_somebody_asks,
                a_message_too_large_is_left_alone,
                a_deletion_leaves_a_receipt,
                what_is_gone_is_known_only_when_it_is_listed,
                what_will_be_deleted_is_shown_before,
                what_got_another_name_is_not_stored_again,
                another_mailbox_has_names_of_its_own,
                a_large_message_is_staged_in_parts,
                what_a_mailbox_looked_like_is_remembered,
                messages_come_newest_first_and_are_searched,
                each_reader_has_seen_what_they_opened,
                messages_outlive_their_account,
                a_lost_lease_writes_nothing,
            }
            checks {
                due_accounts_are_taken_longest_due_first,
                checks_are_asked_for_all_accounts_of_a_credential,
                those_who_write_many_accounts_lock_nobody_out,
                accounts_that_are_not_to_be_checked_are_not_taken,
                accounts_whose_way_is_busy_hold_nobody_up,
                two_takers_share_no_account,
                an_account_is_held_by_one_at_a_time,
                a_lease_that_ran_out_can_be_taken,
                a_lease_is_prolonged,
                a_run_is_recorded_as_it_goes,
                a_failure_is_kept_with_the_account,
                a_run_that_nobody_ended_is_ended_by_the_next,
                a_check_of_an_account_disabled_meanwhile_ends_well,
                a_failure_of_what_was_changed_meanwhile_does_not_count,
                a_lease_given_back_leaves_no_run,
                the_next_due_time_counts_only_what_will_be_checked,
            }
        }
    };
}

/// One module an area, one test a function.
#[macro_export]
macro_rules! tests_of {
    ($open:path; $($area:ident { $($name:ident),+ $(,)? })+) => {$(
        mod $area {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let opened = $open().await;
                $crate::$area::$name(std::sync::Arc::clone(&opened.store)).await;
                opened.close().await;
            }
        )+}
    )+};
}
