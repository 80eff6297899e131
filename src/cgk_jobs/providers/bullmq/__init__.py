"""The provider ``bullmq``: wake-ups as jobs in Redis, taken by BullMQ workers in this process."""
