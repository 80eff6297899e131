from datetime import timedelta

from tests.unit.examples_services.bench import TENANT, Bench

from cgk_jobs.events.catalogue.dam import DamFaceDetection
from cgk_jobs.events.catalogue.google_feed import GoogleFeedSync
from cgk_jobs.events.catalogue.video import VideoTranscriptionStarted


def asset(bench: Bench, asset_id: str, days_left: int | None = None, kind: str = "image") -> None:
    end = None if days_left is None else (bench.app.today() + timedelta(days=days_left)).isoformat()
    bench.execute(
        "INSERT INTO assets (asset_id, kind, added_at, rights_end_on) VALUES (?, ?, ?, ?)",
        asset_id,
        kind,
        bench.now,
        end,
    )


async def test_rights_are_warned_of_thirty_seven_and_one_day_before_and_then_expire(bench: Bench) -> None:
    asset(bench, "a1", 31)
    asset(bench, "free")
    warned, expired = [], []
    for day in range(34):
        result = await bench.run("dam-rights-expiry-check")
        if result["warned"]:
            warned.append(31 - day)
        if result["expired"]:
            expired.append(31 - day)
        assert await bench.run("dam-rights-expiry-check") == {"warned": 0, "expired": 0}
        bench.clock.advance(86_400)
    assert (warned, expired) == ([30, 7, 1], [-1])
    assert len(bench.vendors.done(TENANT, "post")) == 3


async def test_a_request_checks_one_asset_and_its_own_number_of_days(bench: Bench) -> None:
    asset(bench, "a1", 14)
    asset(bench, "a2", 14)
    asset(bench, "over", -1)
    assert await bench.run("dam-rights-expiry-check-on-request", asset_id="a1", days_to_expiry=14) == {
        "warned": 1,
        "expired": 0,
    }
    assert await bench.run("dam-rights-expiry-check-on-request") == {"warned": 0, "expired": 1}


async def test_files_are_taken_in_once_and_up_to_the_limit(bench: Bench) -> None:
    for number in range(5):
        bench.execute("INSERT INTO project_files VALUES (?, ?, 'image', ?)", f"f{number}", f"p{number % 2}", number)
    bench.execute("INSERT INTO project_files VALUES ('odd', 'p0', 'hologram', 9)")
    assert await bench.run("dam-ingest-project", project_id="p1") == 2
    assert await bench.run("dam-bulk-ingest-on-request", project_ids=["p1", "p0"], limit=2) == 2
    assert await bench.run("dam-bulk-ingest") == 1
    assert await bench.run("dam-bulk-ingest") == 0
    assert bench.value("SELECT count(*) FROM assets") == 5


async def test_images_are_handed_to_the_face_search_fifty_at_a_time_and_once(bench: Bench) -> None:
    for number in range(51):
        asset(bench, f"i{number:02}")
    asset(bench, "film", kind="video")
    assert [await bench.run("scan-all-for-faces") for _ in range(3)] == [50, 1, 0]
    assert await bench.run("batch-detect-faces", asset_ids=["i00", "film"]) == 2
    assert len(bench.ctx.sent) == 52
    assert all(isinstance(event, DamFaceDetection) for event in bench.ctx.sent)


async def test_a_lost_transcription_is_asked_for_three_times_and_then_failed(bench: Bench) -> None:
    bench.execute("INSERT INTO videos VALUES ('v1', 'transcribing', ?, 1)", bench.now)
    bench.execute("INSERT INTO videos VALUES ('done', 'ready', 0, 1)")
    assert await bench.run("video-sync") == 0
    found = []
    for _ in range(4):
        bench.clock.advance(timedelta(minutes=30))
        found.append(await bench.run("video-sync"))
        assert await bench.run("video-sync-on-request") == 0
    assert found == [1, 1, 1, 0]
    assert bench.ctx.sent == [VideoTranscriptionStarted(tenant_id=TENANT, video_id="v1")] * 2
    assert bench.rows("SELECT state, attempts FROM videos WHERE video_id = 'v1'") == [("failed", 3)]


async def test_the_feed_is_rebuilt_when_the_interval_of_the_tenant_is_over(bench: Bench) -> None:
    bench.execute("INSERT INTO settings VALUES ('google_feed_hours', '6')")
    asked = []
    for hour in range(13):
        if await bench.run("google-feed-scheduled-sync"):
            asked.append(hour)
        bench.clock.advance(3600)
    assert asked == [0, 6, 12]
    assert bench.ctx.sent == [GoogleFeedSync(tenant_id=TENANT, full_sync=True, triggered_by="schedule")] * 3
    assert bench.value("SELECT count(*) FROM feed_rebuilds") == 1


async def test_redirects_unused_for_a_year_go(bench: Bench) -> None:
    for path, made, used in (("/never", 366, None), ("/long-ago", 800, 366), ("/recent", 800, 3), ("/new", 1, None)):
        bench.execute(
            "INSERT INTO redirects VALUES (?, '/', ?, ?)",
            path,
            bench.ago(made),
            None if used is None else bench.ago(used),
        )
    assert await bench.run("seo-redirects-cleanup") == 2
    assert [row[0] for row in bench.rows("SELECT path FROM redirects ORDER BY 1")] == ["/new", "/recent"]


async def test_cached_context_ages_and_old_material_is_flagged_once(bench: Bench) -> None:
    for entry, days in (("new", 0.2), ("half", 0.6), ("old", 1.1)):
        bench.execute("INSERT INTO brand_cache VALUES (?, ?)", entry, bench.ago(days))
    assert await bench.run("cleanup-brand-context-cache") == 1
    assert await bench.run("cleanup-brand-context-cache-on-request", max_age_hours=12) == 1
    bench.execute("INSERT INTO brand_documents (document_id, touched_at) VALUES ('d', ?)", bench.ago(91))
    bench.execute("INSERT INTO brand_documents (document_id, touched_at) VALUES ('e', ?)", bench.ago(89))
    assert [await bench.run("detect-stale-brand-content") for _ in range(2)] == [1, 0]
    assert bench.rows("SELECT document_id FROM brand_documents WHERE stale = 1") == [("d",)]
