"""GPU kernels: `assign_gpu_schedules` decides, `outline_gpu_kernels` writes them, one module per kind of kernel."""
